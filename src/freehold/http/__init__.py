"""HTTP: the service as other programs call it. Routes translate and check; what is done stands in serving."""
