"""Buttons, menus, forms and the Home tab."""
