"""What nbval runs the chapters with."""

import os

# Whether a progress bar appears depends on how fast the machine is: no output to compare.
os.environ["TQDM_DISABLE"] = "1"
