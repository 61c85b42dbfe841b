"""No progress bars while the chapters are run and compared: a slow machine would show other ones."""

import os

os.environ["TQDM_DISABLE"] = "1"
