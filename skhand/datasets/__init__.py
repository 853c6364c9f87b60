"""Generate hands, and load the published data sets from their publishers' files."""

from skhand.datasets._dexter_object import load_dexter_object
from skhand.datasets._ego_dexter import load_ego_dexter
from skhand.datasets._endless import EndlessHands
from skhand.datasets._folder import load_folder, save_folder
from skhand.datasets._freihand import load_freihand
from skhand.datasets._icvl import load_icvl
from skhand.datasets._make_hands import HAND_PRESETS, make_hands
from skhand.datasets._mpii_nzsl import load_mpii_nzsl
from skhand.datasets._msra import load_msra
from skhand.datasets._nyu import load_nyu
from skhand.datasets._report import DatasetReport
from skhand.datasets._rhd import load_rhd
from skhand.datasets._save_rhd import save_rhd
from skhand.datasets._scenes import make_scenes
from skhand.datasets._stb import load_stb
from skhand.datasets._synth_hands import load_synth_hands
from skhand.datasets._verify import verify
from skhand.rendering.gestures import GESTURES

__all__ = [
    "GESTURES",
    "HAND_PRESETS",
    "DatasetReport",
    "EndlessHands",
    "load_dexter_object",
    "load_ego_dexter",
    "load_folder",
    "load_freihand",
    "load_icvl",
    "load_mpii_nzsl",
    "load_msra",
    "load_nyu",
    "load_rhd",
    "load_stb",
    "load_synth_hands",
    "make_hands",
    "make_scenes",
    "save_folder",
    "save_rhd",
    "verify",
]
