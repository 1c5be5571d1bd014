"""What people ask for, approve, decide and undo, and what is swept up behind them."""
