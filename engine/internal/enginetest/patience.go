package enginetest

import "time"

const Patience = 5 * time.Second // for what must happen
