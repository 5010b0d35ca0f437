"""A TOML becomes a frozen `Config`: tables, plugins, components and their options."""
