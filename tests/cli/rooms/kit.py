"""Names that are hard to show, and to send."""

ODD = "a/b+c=d@e:f#g h"
UNSEEN = "\x1b[2J\u202ex\n"
