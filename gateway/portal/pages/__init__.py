"""One module per page or small family of pages; each declares its routes with `page(...)` and a guard."""
