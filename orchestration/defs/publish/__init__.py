"""From the warehouse's marts to the release that readers see."""
