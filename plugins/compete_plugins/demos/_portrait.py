"""Drawn people: the looks that all images of a person share, and one image, drawn with Pillow from back to front."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFilter

Rgb = tuple[int, ...]
Points = npt.NDArray[np.float64]  # N x 2: x to the right and y down, in head units from between the eyes

_AT_HOME = 0.7  # share of a person's images taken in the same place: this and the looks leak across a split by image
_WHITE, _BLACK, _INK = (255, 255, 255), (0, 0, 0), (42, 34, 34)
_STYLE_SHARES = {"male": (0.95, 0.03, 0.01, 0.01), "female": (0.12, 0.43, 0.25, 0.20)}
_HAIR = "#1a1618 #241c1a #34261e #4a3426 #704a2e #542a28"
_LIPS = "#ce6264 #c4525c #d67a70 #b24a50"
_CLOTHS = "#eeece6 #2c303a #5c708e #96b0be #ba5850 #d69e94 #688060 #d6be82 #80688a #7c7e82"
_WALLS = "#e2ded6 #ccd4d8 #d6ccbe #bac4ba #e8d8cc #a6b0be #c4b6c4 #decfa8 #96a09e #5c6274"
_THINGS = "#785a42 #b08c68 #586e80 #688460 #be6052 #e6e2d6 #424854"
_MASKS = "#96c4de #a8ced8 #ecf0f2 #f6f6f6 #b2d4c4 #ecbec6 #282a2e #2c2c30 #b0b2b6 #3a4a70 #963c42 #d6c4a0"


class Looks:
    """The looks of a person of a gender and a true age, which may lie beyond the listed 18 to 60.

    Lengths are in head units (1 is half a face's width); grey, receded, lines and stubble lie between 0 and 1.
    """

    def __init__(self, gender: str, age: int, rng: np.random.Generator) -> None:
        female, seems = gender == "female", age + rng.normal(0, 4)

        def sign(start: float, full: float) -> float:
            """Return how far a sign of age has come that starts at one age and is complete at another."""
            return float(np.clip((seems - start) / (full - start) + rng.normal(0, 0.14), 0, 1))

        self.home = int(rng.integers(2**31))  # seeds the place where most of the images are taken
        self.feminine = float(np.clip(rng.normal(0.8 if female else -0.8, 0.4), -1.4, 1.4))
        self.skin = _mix((244, 216, 192), (200, 158, 124), rng.beta(2, 2.6))
        self.shadow = _mix(self.skin, (110, 70, 50), 0.35)
        made_up = rng.random() < (0.8 if female else 0.1)
        self.lips = _pick(_LIPS, rng) if made_up else _mix(self.skin, (188, 96, 88), 0.5)
        self.jaw = rng.normal(0.8 - 0.05 * self.feminine, 0.035) + 0.07 * sign(35, 70)
        self.chin = rng.normal(1.3 - 0.03 * self.feminine, 0.04)
        self.style = rng.choice(("short", "long", "bob", "tied"), p=_STYLE_SHARES[gender])
        self.grey = sign(44, 67) * (0.15 if rng.random() < 0.25 else 1)  # some dye it
        self.hair = _mix(_pick(_HAIR, rng), (204, 204, 202), 0.6 * self.grey)
        self.receded = sign(26, 84) * (0.3 if female else 1)
        self.fringe = rng.random() < 0.5 - 0.35 * sign(25, 55)
        self.lines = sign(24, 70)
        self.stubble = 0 if female else max(0, rng.uniform(-0.35, 0.35))
        self.glasses = rng.random() < 0.15 + 0.2 * sign(35, 65)
        self.collar = rng.random() < (0.25 if female else 0.5)
        self.cloth = _pick(_CLOTHS, rng)


class _Pen:
    """Draws shapes given in head units for a head that is tilted by `roll` and turned by `turn`."""

    def __init__(self, image: Image.Image, unit: float, centre: tuple[float, float], roll: float, turn: Points) -> None:
        self.draw, self.unit, self.centre, self.turn = ImageDraw.Draw(image, "RGBA"), unit, centre, turn
        self.rotation = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])

    def __call__(self, points: Points, colour: Rgb, opacity: float = 1, *, width: float = 0) -> None:
        """Draw a line of a width in head units or, without a width, fill a polygon."""
        stands_out = np.clip(1 - points[:, :1] ** 2, 0, 1)  # N x 1: the middle of a face moves most when it turns
        placed = (points + stands_out * self.turn) @ self.rotation * self.unit + self.centre
        corners, fill = [tuple(point) for point in placed.tolist()], (*colour, round(255 * opacity))
        if width:
            self.draw.line(corners, fill, max(1, round(width * self.unit)), "curve")
        else:
            self.draw.polygon(corners, fill)


def draw_portrait(looks: Looks, state: str, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Draw a person for a state ("wear", "incorrect", "normal") at a size of (width, height) pixels."""
    width, height = 2 * size[0], 2 * size[1]
    span = min(width, height * 0.75)  # the competition's images are 3 wide and 4 high
    place = looks.home if rng.random() < _AT_HOME else int(rng.integers(2**31))
    image = _draw_background(place, rng).resize((width, height))
    centre = (width / 2 + span * rng.normal(0, 0.03), span * rng.normal(0.63, 0.03))
    unit, roll, turn = span * rng.normal(0.292, 0.012), rng.normal(0, 0.07), rng.normal(0, (0.12, 0.05))
    head = _Pen(image, unit, centre, roll, turn)
    _draw_body(head, _Pen(image, unit, centre, roll / 4, 0 * turn), looks)
    _draw_face(head, looks, rng)
    _draw_eyes(head, looks, rng)
    if state != "normal":
        _draw_mask(head, looks, state, rng)
    _draw_hair(head, looks)
    return _expose(image.resize(size, Image.Resampling.BOX), rng)


def _draw_background(place: int, rng: np.random.Generator) -> Image.Image:
    """Draw a blurred place; `rng` moves the camera a little."""
    of_place, shift = np.random.default_rng(place), rng.uniform(-4, 4)
    image = Image.new("RGB", (36, 48), _pick(_WALLS, of_place))
    draw = ImageDraw.Draw(image)
    shape = (draw.rectangle, draw.ellipse)[of_place.integers(2)]
    for _ in range(of_place.integers(2, 12)):
        x, y, wide, high = of_place.uniform((-6, -6, 3, 3), (36, 34, 12, 30))
        shape((x + shift, y, x + shift + wide, y + high), _pick(_THINGS, of_place))
    return image.filter(ImageFilter.GaussianBlur(of_place.uniform(0.8, 2)))


def _draw_body(head: _Pen, body: _Pen, looks: Looks) -> None:
    """Draw what lies behind the face: long hair, neck and clothes."""
    wide, low = 1.75 - 0.18 * looks.feminine, {"long": 2.1, "bob": 1.15}.get(looks.style, 0)
    if low:
        outline = _both((0, -1.3), (0.8, -1.15), (1.2, -0.4), (1.22, low - 0.3), (1.05, low), (0, low))
        head(outline, _mix(looks.hair, _BLACK, 0.2))
    elif looks.style == "tied":
        head(_oval(0, -1.35, 0.42, 0.36), _mix(looks.hair, _BLACK, 0.2))
    body(_both((0, 0.8), (0.5, 0.8), (0.5, 1.6), (0.7, 2.2), (0, 2.2)), looks.shadow)
    body(_both((0, 1.95), (0.5, 1.7), (0.75, 1.8), (wide - 0.3, 2), (wide, 2.4), (wide, 4), (0, 4)), looks.cloth)
    if looks.collar:
        body(_both((0, 2), (0.5, 1.6), (0.65, 1.7), (0.4, 2.3)), _mix(looks.cloth, _WHITE, 0.5))


def _draw_face(pen: _Pen, looks: Looks, rng: np.random.Generator) -> None:
    """Draw ears, skin, nose and mouth, and the lines that age adds."""
    dark, lines = _mix(looks.shadow, _BLACK, 0.15), 0.7 * looks.lines
    low = ((looks.jaw + 0.1, 0.85), (looks.jaw * 0.55, looks.chin), (0, looks.chin + 0.05))
    pen(_both((0, -0.2), (1.05, -0.2), (1.2, 0.1), (1.05, 0.4), (0, 0.4)), _mix(looks.skin, looks.shadow, 0.5))
    pen(_both((0, -1.05), (0.55, -1), (0.98, -0.6), (0.99, 0.3), *low), looks.skin)
    pen(_both((0, 0.5), (0.35, 0.5), (0.9, 0.25), *low), (60, 60, 66), looks.stubble)
    pen(np.array([(0.1, 0), (0.14, 0.3), (0, 0.36), (-0.12, 0.32)]), looks.shadow, width=0.05)
    smile, wide = rng.normal(0.05, 0.05), rng.normal(0.34, 0.03)
    upper, lower = (smile - 0.1, smile), (max(smile, 4 * smile - 0.24), max(smile, 4 * smile - 0.24) + 0.12)
    for bends, colour in (((upper[0], lower[1]), looks.lips), ((upper[1], lower[0]), _WHITE)):
        pen(np.concatenate([_arc(0, wide, 0.74 - smile, bends[0]), _arc(0, -wide, 0.74 - smile, bends[1])]), colour)
    pen(_arc(0, wide, 0.74 - smile, smile), dark, width=0.03)
    for y in (-0.66, -0.53, -0.4):
        pen(_arc(0, 0.5, y, -0.04), dark, lines, width=0.03)
    for side in (-1, 1):
        pen(np.array([(side * 0.2, 0.36), (side * 0.36, 0.52), (side * 0.46, 0.8)]), dark, lines, width=0.04)
        pen(_arc(side * 0.42, 0.2, 0.2, 0.07), dark, lines, width=0.04)
        for slope in (-0.16, 0.03, 0.2):
            pen(np.array([(side * 0.68, slope / 3), (side * 0.88, slope)]), dark, lines, width=0.03)


def _draw_eyes(pen: _Pen, looks: Looks, rng: np.random.Generator) -> None:
    gaze, lift, high, wide = *rng.normal(0, (0.03, 0.02)), rng.normal(0.105, 0.012), 0.21 + 0.012 * looks.feminine
    for x in (-0.42, 0.42):
        pen(_oval(x, 0, wide, high), (250, 248, 244))
        pen(_oval(x + gaze, 0, high, high), (58, 38, 28))
        pen(_arc(x, wide + 0.03, 0, -high), _INK, width=0.06 + 0.025 * looks.feminine)
        pen(_arc(x, 0.27, -0.27 - lift, -0.09), _mix(looks.hair, _INK, 0.3), width=0.085 - 0.025 * looks.feminine)
        if looks.glasses:
            pen(_oval(x, 0.02, 0.34, 0.27), _INK, width=0.045)
            pen(_arc(1.76 * x, 0.1, -0.05, 0), _INK, width=0.05)


def _draw_mask(pen: _Pen, looks: Looks, state: str, rng: np.random.Generator) -> None:
    """Draw a mask over nose and mouth or, worn wrongly, below the nose or on the chin."""
    colour, top, low, wide = _pick(_MASKS, rng), rng.uniform(0.04, 0.22), looks.chin + 0.04, 0.9
    if state == "incorrect":
        top, low = rng.uniform(0.46, 0.56), low + 0.04
        if rng.random() < 0.4:
            top, low, wide = rng.uniform(0.92, 1.04), low + 0.16, looks.jaw
    edge, middle = max(top + 0.06, 0.2), (top + low) / 2
    for start, end in ((edge + 0.08, -0.08), (middle + 0.1, 0.3)):
        for side in (-1, 1):
            pen(np.array([(side * wide, start), (side * 1.08, end)]), _mix(colour, _WHITE, 0.5), width=0.045)
    half = ((0, top - 0.06), (0.5, top), (wide, edge), (wide, middle + 0.1), (looks.jaw * 0.6, low), (0, low + 0.06))
    pen(_both(*half) + np.array([0, 0.04]), looks.shadow)
    pen(_both(*half), colour)
    tone = _mix(colour, _WHITE if sum(colour) < 300 else _BLACK, 0.2)
    for share in ((), (0.3, 0.5, 0.7), (0.25, 0.75))[rng.integers(3)]:
        pen(_arc(0, 0.8 * wide, top + share * (low - top), 0.1 * (share - 0.3)), tone, width=0.04)


def _draw_hair(pen: _Pen, looks: Looks) -> None:
    """Draw the hair over the forehead, whose line goes back with the years, and its grey strands."""
    back, rng = 0.35 * looks.receded, np.random.default_rng(looks.home)
    line, side = -0.36 if looks.fringe and back < 0.12 else -0.66 - back, -0.1 if looks.style == "short" else 0.3
    front = ((1.1, -0.4), (1.02, side), (0.9, -0.3 - back / 2), (0.6, line), (0, line))
    pen(_both((0, -1.34), (0.3, -1.34), (0.85, -1.05), *front), looks.hair)
    for x in rng.uniform(-0.75, 0.75, 14):
        is_grey = rng.random() < looks.grey
        strand = np.array([(x / 2, -1.22), (x, line - 0.12 - 0.1 * abs(x))])
        pen(strand, _WHITE if is_grey else _BLACK, 0.6 if is_grey else 0.15, width=0.04)


def _expose(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the image under some light, from some side, as some camera takes it: blurred and noisy."""
    soft = image.filter(ImageFilter.GaussianBlur(rng.gamma(1.2, 0.3) * image.width / 120))
    side = 1 + rng.normal(0, 0.13) * np.linspace(-1, 1, image.width)[:, None]
    tint = rng.normal(1, 0.09) * (1 + rng.normal(0, 0.04) * np.array([1, 0, -1]))
    noise = rng.uniform(0.5, 4) * rng.standard_normal((image.height, image.width, 1), np.float32)
    lit = ((np.asarray(soft, np.float32) - 128) * rng.normal(1, 0.08) + 128) * side * tint + noise  # H x W x 3
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def _both(*right: tuple[float, float]) -> Points:
    """Return the outline whose right half is given from the top down, its corners cut twice (Chaikin)."""
    points = np.array([*right, *((-x, y) for x, y in reversed(right))], float)
    for _ in range(2):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1).reshape(-1, 2)
    return points


def _oval(x: float, y: float, wide: float, high: float) -> Points:
    angle = np.linspace(0, 2 * np.pi, 25)
    return np.stack([x + wide * np.cos(angle), y + high * np.sin(angle)], axis=1)


def _arc(x: float, wide: float, y: float, bend: float) -> Points:
    """Return a parabola around x whose middle lies `bend` below its ends at height y."""
    way = np.linspace(-1, 1, 9)
    return np.stack([x + way * wide, y + bend * (1 - way**2)], axis=1)


def _mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """Return the colour between two, `share` of the way to the second."""
    return tuple(round(a + (b - a) * share) for a, b in zip(first, second, strict=True))


def _pick(palette: str, rng: np.random.Generator) -> Rgb:
    return ImageColor.getrgb(str(rng.choice(palette.split())))
