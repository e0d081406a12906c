"""Number plates of mainland China as cameras tell them: with a colour before, with separators, or with a word for none.

Seven characters, or eight with a new-energy letter in the third place (small) or the last (large).
"""

from telemetry.privacy import normalise

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_COLOURS = "蓝黄绿白黑"
_NONE = frozenset(map(normalise, ("_无_", "无", "无车牌", "无牌车", "未识别", "unknown", "none", "null")))


def clean(told: str) -> str:
    """The plate in what a camera told, in one spelling; empty where it says that it read none.

    A colour is taken off only before a province: 黑 begins the plates of Heilongjiang too.
    """
    plate = normalise(told)
    if plate in _NONE:
        return ""
    if len(plate) > 2 and plate[0] in _COLOURS and plate[1] in PROVINCES:
        return plate[1:]
    return plate
