"""`openvidu-bot init`: writes the first settings file."""
