"""What the control deployment is made of: the owner of the databases, and the API over them. No Ray here."""
