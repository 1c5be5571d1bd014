"""`openvidu-bot init`: the first settings file, without an editor."""
