"""Stand-ins for what the program talks to: scripted, without sockets, and as strict as the ports say."""
