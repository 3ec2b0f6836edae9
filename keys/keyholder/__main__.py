"""`python -m keys.keyholder --config FILE`: run the keyholder."""

import sys

from keys.keyholder.main import main

sys.exit(main())
