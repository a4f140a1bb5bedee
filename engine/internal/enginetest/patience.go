package enginetest

import "time"

// Patience is how long a test waits for what must happen.
const Patience = 5 * time.Second
