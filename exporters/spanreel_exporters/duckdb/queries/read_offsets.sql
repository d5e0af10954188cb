SELECT procid, segment, position FROM store.segment_offset
