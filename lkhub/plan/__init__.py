"""Every decision taken: `Spec` + `NetworkFacts` + `Installation` → `Plan`. Pure."""
