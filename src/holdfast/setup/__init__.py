"""Telling MCP clients about Holdfast: one entry in their configuration, and the way back."""
