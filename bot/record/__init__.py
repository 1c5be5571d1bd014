"""`openvidu-bot record`: real exchanges, redacted, for `openvidu-bot replay`."""
