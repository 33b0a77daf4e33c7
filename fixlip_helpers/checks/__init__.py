"""Self-checks that exercises call: each tells right from wrong without showing the answer.

One module a chapter; a function's name begins with its chapter, as in ``checks.ch05_budgets``. A check takes a
reader's answer and returns a :class:`Verdict`, which a notebook shows as one line and which is true or false in
tests. An answer that is still ``None`` or ``...`` is no answer yet, and no error.
"""

from fixlip_helpers.checks.chapter_01 import *  # noqa: F403
from fixlip_helpers.checks.chapter_02 import *  # noqa: F403
from fixlip_helpers.checks.chapter_03 import *  # noqa: F403
from fixlip_helpers.checks.chapter_04 import *  # noqa: F403
from fixlip_helpers.checks.chapter_05 import *  # noqa: F403
from fixlip_helpers.checks.chapter_06 import *  # noqa: F403
from fixlip_helpers.checks.chapter_07 import *  # noqa: F403
from fixlip_helpers.checks.chapter_08 import *  # noqa: F403
from fixlip_helpers.checks.chapter_09 import *  # noqa: F403
from fixlip_helpers.checks.chapter_10 import *  # noqa: F403
from fixlip_helpers.checks.chapter_11 import *  # noqa: F403
from fixlip_helpers.checks.chapter_12 import *  # noqa: F403
from fixlip_helpers.checks.chapter_13 import *  # noqa: F403
from fixlip_helpers.checks.chapter_14 import *  # noqa: F403
from fixlip_helpers.checks.chapter_15 import *  # noqa: F403
from fixlip_helpers.checks.chapter_16 import *  # noqa: F403
from fixlip_helpers.checks.chapter_17 import *  # noqa: F403
from fixlip_helpers.checks.chapter_18 import *  # noqa: F403
from fixlip_helpers.checks.chapter_19 import *  # noqa: F403
from fixlip_helpers.checks.verdict import Verdict as Verdict
