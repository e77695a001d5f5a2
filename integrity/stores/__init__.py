from integrity.stores.base import CHUNK_ROWS, Span, Store
from integrity.stores.frames import frame_store
def open_store(where: object) -> Store:
    s = frame_store(where)
    assert s
    return s
