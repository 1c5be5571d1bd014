"""`openvidu-bot audit verify|export`: check or export the audit from a terminal."""
