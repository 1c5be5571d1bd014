"""`openvidu-bot audit verify|export`."""
