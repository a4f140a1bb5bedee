"""Haven's backend. It knows LiveKit by three variables of its environment, and nothing of lkhub."""
