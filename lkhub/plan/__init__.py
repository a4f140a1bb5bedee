"""Every decision taken: `Spec` + `NodeFacts` → `Plan`. Pure."""
