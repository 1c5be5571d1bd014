"""`openvidu-bot replay`: recordings against the simulated world, and what is different."""
