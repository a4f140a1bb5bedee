package enginetest

import "time"

// Patience is for what must happen.
const Patience = 5 * time.Second
