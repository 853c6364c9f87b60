"""List the protocols of the papers by name."""

from __future__ import annotations

from dataclasses import replace

from skhand.metrics._protocols import GIVEN, Protocol
from skhand.skeleton import JOINTS, LAYOUTS

__all__ = ["PROTOCOLS"]

_CANONICAL, _STB = LAYOUTS["canonical"], LAYOUTS["stb"]

_ZB = Protocol(
    "zb2017_rhd",
    "RHD, evaluation split",
    "Zimmermann & Brox 2017, and the full evaluation of its code, hand3d",
    joints=("palm", *JOINTS[1:]),
    layouts=(_CANONICAL,),
    root="palm",
    align=("root",),
    visible="visible",
    auc=("hand3d", "hand3d_20_50", "20_50"),
    pck=(20.0, 50.0),
    given=("root", "scale", "side"),
    n_frames=(2728,),
    note="The palm stands in the wrist's place and counts as an error of 0; it is visible where the wrist or "
    "the middle MCP is. hand3d calls the grid from 21.05 mm 20-50; '20_50' is a true one.",
)
_STB_NOTE = (
    "STB marks a palm. From 21 canonical joints it is half way between wrist and middle MCP, 8.5 mm off, "
    "unless palm_to_wrist='ring' says how load_stb() made the wrist of it; native joints: layout='stb'. "
)
_SPURR = replace(
    _ZB,
    name="spurr2018",
    dataset="RHD, evaluation split; or STB, both B1 sequences",
    source="Spurr et al. 2018, Sec. 4.3-4.5, Tables 1, 2, 5 and 6, row T+S+H",
    n_frames=(2728, 6000),
    note=_ZB.note + " STB: both views of the BB camera. " + _STB_NOTE,
)
_IQBAL_NOTE = (
    "Ranges of the AUC are not printed; they follow from its values and figures. Which joints count is not "
    "said: all labelled ones here. "
)
_RHP = replace(
    _ZB,
    name="iqbal2018_rhp",
    dataset="RHP (RHD), evaluation split",
    source="Iqbal et al. 2018, Sec. 5.1 and Table 2, 3D",
    visible="all",
    auc=("20_50", "hand3d_20_50"),
    given=(),
    note=_IQBAL_NOTE + "The row 'w. GT' is given the depth of the root (part of T) and S.",
)
_ABSOLUTE = replace(
    _RHP,
    name="iqbal2018_ed",
    dataset="EgoDexter, all four sequences",
    source="Iqbal et al. 2018, Sec. 5.1 and Fig. 3e",
    joints=LAYOUTS["tips5"].joints,
    layouts=(_CANONICAL, LAYOUTS["tips5"]),
    root=None,
    align=(None,),
    scale="mean_bones",
    auc=("0_100",),
    n_frames=(3190,),
    note=_IQBAL_NOTE + "Absolute positions. That the size comes from mean bone lengths is said for D+O only.",
)
_DEPTH = Protocol(
    "nyu14",
    "NYU, test split, view 1",
    "Tompson et al. 2014; as published evaluations of NYU score it (Spurr et al. 2018, Sec. 4.2)",
    joints=LAYOUTS["nyu14"].joints,
    layouts=(LAYOUTS["nyu14"], LAYOUTS["nyu36"]),
    average="frames",
    median="pooled",
    pcf=(40.0, 80.0),
    n_frames=(8252,),
    note="Papers give no median: this one is plain. uvd becomes mm by skhand.geometry.backproject with f "
    "(588.03, -587.07), c (320, 240): y is up, truth and prediction alike. A choice of the data, to be "
    "stated: crop centre (true joint, centre of mass or refined) and cube (300 mm; 250 for subject 2).",
)

#: The protocols by name.
PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        _ZB,
        replace(
            _ZB,
            name="zb2017_stb",
            dataset="STB, both B1 sequences, BB camera left and right",
            layouts=(_CANONICAL, _STB),
            n_frames=(6000,),
            note=_STB_NOTE + "Later work scores the 3 000 SK pictures.",
        ),
        replace(
            _ZB,
            name="stb_wrist",
            dataset="STB, both B1 sequences, SK camera",
            source="no one paper; what work after Zimmermann & Brox 2017 often does",
            joints=JOINTS,
            layouts=(_CANONICAL, _STB),
            root="wrist",
            visible="all",
            auc=("20_50", "hand3d_20_50"),
            given=None,
            n_frames=(3000,),
            note="STB has no wrist: with layout='stb' it is ring MCP + 2.0 (palm - ring MCP), or with "
            "palm_to_wrist='middle' middle MCP + 2.2 (palm - middle MCP).",
        ),
        _SPURR,
        *(
            replace(
                _SPURR,
                name=f"spurr2018_{row.replace('+', '').lower()}",
                source=f"Spurr et al. 2018, Tables 2 and 6, row {row}",
                given=tuple(name for name, letter in GIVEN.items() if letter in row.split("+")),
            )
            for row in ("T+S", "T+H", "T")
        ),
        replace(
            _SPURR,
            name="stergioulas2021",
            dataset="RHD, evaluation split; or STB, both B1 sequences, 3 000 pictures",
            source="Stergioulas et al. 2021, Sec. 4, Tables 1 and 3, Fig. 3",
            visible="all",
            auc=("20_50",),
            n_frames=(2728, 3000),
            note="Points of the AUC's grid, visibility and order of averaging are not said: 100 points, all "
            "joints, joints first. " + _STB_NOTE,
        ),
        _RHP,
        replace(
            _RHP,
            name="iqbal2018_shp",
            dataset="SHP (STB), both B1 sequences",
            source="Iqbal et al. 2018, Sec. 5.1 and Fig. 3c",
            layouts=(_CANONICAL, _STB),
            n_frames=(6000, 3000),
            note=_IQBAL_NOTE + _STB_NOTE,
        ),
        replace(
            _ABSOLUTE,
            name="iqbal2018_do",
            dataset="Dexter+Object, all six sequences",
            source="Iqbal et al. 2018, Sec. 5.3 and Table 1, last block",
            tip_length=0.9,
            n_frames=(3145,),
            note=_IQBAL_NOTE
            + "Absolute positions; the size comes from SHP's mean bone lengths. Tips are marked "
            "in the middle of the tip: predicted ones go back to 0.9 of the last bone. Table 1's upper "
            "blocks do without: tip_length=1.0.",
        ),
        _ABSOLUTE,
        replace(
            _RHP,
            name="iqbal2018_2d",
            dataset="RHP, D+O, EgoDexter or MPII+NZSL in the picture",
            source="Iqbal et al. 2018, Tables 1 and 2, 2D",
            joints=JOINTS,
            layouts=(_CANONICAL,),
            n_dims=2,
            unit="px",
            root=None,
            align=(None,),
            auc=("hand3d_2d",),
            pck=(),
            n_frames=(),
            note=_IQBAL_NOTE + "The grid of 20 points over 0-30 px is hand3d's. Unlabelled joints are NaN.",
        ),
        _DEPTH,
        replace(
            _DEPTH,
            name="icvl16",
            dataset="ICVL, both test sequences",
            source="Tang et al. 2014; as published evaluations of ICVL score it",
            joints=LAYOUTS["icvl16"].joints,
            layouts=(LAYOUTS["icvl16"],),
            n_frames=(1596,),
            note="Papers give no median: this one is plain. uvd becomes mm by skhand.geometry.backproject "
            "with f (240.99, 240.96), c (160, 120); others use f 241.42. Some score the first sequence "
            "only, 702 frames. Crop centre and cube (250 or 200 mm) are choices of the data, to be stated.",
        ),
        replace(
            _DEPTH,
            name="msra21_loso",
            dataset="MSRA15, every subject left out once",
            source="Sun et al. 2015 (Spurr et al. 2018, Sec. 4.2)",
            joints=LAYOUTS["msra21"].joints,
            layouts=(_CANONICAL, LAYOUTS["msra21"]),
            n_frames=(76375, 76391),
            note="Nine models: predictions of all folds are scored together (cross_val_predict with "
            "LeaveOneGroupOut, then evaluate_predictions), not the mean of nine scores. Faulty frames are "
            "known. Crop centre and cube are choices of the data, to be stated.",
        ),
        replace(
            _ZB,
            name="freihand",
            dataset="FreiHAND, evaluation split",
            source="Zimmermann et al. 2019, and the evaluation of its code",
            joints=JOINTS,
            root=None,
            align=(None, "procrustes"),
            visible="all",
            auc=("freihand",),
            pck=(),
            given=None,
            n_frames=(3960,),
            note="Raw and similarity-aligned. Its code lets the alignment reflect a hand; here it never "
            "does. Camera and scale of the evaluation split are published; whether a method uses them "
            "is to be stated.",
        ),
    )
}
