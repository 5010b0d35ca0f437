"""One member trained by several machines: the first one runs, the others start their ranks and follow it."""
