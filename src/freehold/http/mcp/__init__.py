"""The house for MCP clients: the same tools over streamable HTTP, at ``/mcp`` of the service, and over stdio.

``mcp`` is imported by ``tools`` and ``stdio`` alone, which are themselves imported when somebody calls.
"""
