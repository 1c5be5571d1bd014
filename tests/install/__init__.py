"""The ways in which openvidu-bot is installed, each as its page in docs/ tells it."""
