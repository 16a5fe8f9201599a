"""Names against sanctions lists: at the edge, for lists and algorithms change."""
