"""Start the Bots page."""

import time

if __name__ == "__main__":
    time.sleep(1e9)
