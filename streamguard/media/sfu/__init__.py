"""Conference rooms of SFUs (selective forwarding units): the interface in `room`, and one adapter a server."""
