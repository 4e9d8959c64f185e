"""What both HTTP clients and all controllers use."""
