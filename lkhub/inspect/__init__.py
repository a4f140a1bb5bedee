"""Anyone's files of a LiveKit deployment → what is wrong with them. Pure: nothing that they name is opened or run."""
