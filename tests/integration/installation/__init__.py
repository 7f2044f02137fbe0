"""The platform end to end: real Ray, real processes, real clients. A package, so that its fixture ends with it."""
