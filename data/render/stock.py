"""Two stocks of surroundings: the one of the small set, and another that training never shows.

Both have the same kinds and as many things of each, so that `surroundings` lays out either.
"""

from render import (
    furniture,
    furniture_abroad,
    ground,
    houses,
    houses_abroad,
    passers,
    passers_abroad,
    plants,
    plants_abroad,
)
from render.finishes import Finish, Thing

STOCKS = ("home", "abroad")


def things(stock: str) -> dict[str, list[Thing]]:
    """Make everything of a stock: kind to things."""
    if stock == "abroad":
        return {
            "house": houses_abroad.houses_abroad(),
            "tree": plants_abroad.trees_abroad(),
            "person": passers_abroad.people_abroad(),
            "car": passers_abroad.cars_abroad(),
            "lamp": [furniture_abroad.lamp_abroad()],
            "furniture": furniture_abroad.furniture_abroad(),
            "branch": [plants_abroad.branch_abroad()],
        }
    return {
        "house": houses.houses(),
        "tree": plants.trees(),
        "person": passers.people(),
        "car": passers.cars(),
        "lamp": [furniture.lamp_post()],
        "furniture": furniture.furniture(),
        "branch": [plants.branch()],
    }


def ground_finishes(stock: str) -> dict[str, Finish]:
    """Return the finishes of a stock's ground."""
    return furniture_abroad.GROUND_ABROAD if stock == "abroad" else ground.GROUND
