"""Checks of infra/sam and infra/terraform. `infra/check/run` runs them."""
