"""The bundled plugins. Each imports only the names that any plugin may import from `compete`."""
