"""What is in a mail? Its octets become the rungs of a ladder, and the names of what may differ between two copies."""
