"""Holdfast as an MCP server: a few tools over the operations, over stdio and streamable HTTP."""
