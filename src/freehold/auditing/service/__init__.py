"""The audit of somebody else's service: a black box that takes questions over HTTP."""
