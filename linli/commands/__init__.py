"""One module a verb; each is a thin shell over the room that does the work."""
