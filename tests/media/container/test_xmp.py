"""XMP: properties by local name, and packets that ask for too much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.media.container import xmp
from assay.media.container.draft import Draft
from assay.testing import containers

RDF = '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/" {more}>'


def wrapped(inner: str, more: str = "") -> bytes:
    return (
        RDF.format(more=more) + f'<rdf:Description rdf:about="">{inner}</rdf:Description></rdf:RDF>'
    ).encode()


def test_attributes_and_elements_are_alike():
    as_element = wrapped("<dc:format>image/jpeg</dc:format>")
    as_attribute = containers.xmp_packet({"dc:format": "image/jpeg"})
    assert xmp.properties(as_element) == ({"format": "image/jpeg"}, "")
    assert xmp.properties(as_attribute) == ({"format": "image/jpeg"}, "")


def test_the_items_of_a_list_are_joined_and_repetitions_are_not():
    inner = (
        "<dc:subject><rdf:Bag><rdf:li>a</rdf:li><rdf:li>b</rdf:li><rdf:li>a</rdf:li></rdf:Bag></dc:subject>"
    )
    assert xmp.properties(wrapped(inner))[0] == {"subject": "a; b"}


def test_a_history_names_every_agent():
    more = (
        'xmlns:m="http://ns.adobe.com/xap/1.0/mm/" xmlns:e="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"'
    )
    inner = (
        '<m:History><rdf:Seq><rdf:li e:action="created" e:softwareAgent="One"/>'
        '<rdf:li rdf:parseType="Resource"><e:action>saved</e:action><e:softwareAgent>Two</e:softwareAgent></rdf:li>'
        "</rdf:Seq></m:History>"
    )
    values, problem = xmp.properties(wrapped(inner, more))
    assert problem == ""
    assert (values["softwareAgent"], values["action"]) == ("One; Two", "created; saved")


def test_a_resource_is_a_value():
    inner = '<x:DigitalSourceType xmlns:x="urn:x" rdf:resource="http://a/trainedAlgorithmicMedia"/>'
    assert xmp.properties(wrapped(inner))[0] == {"DigitalSourceType": "http://a/trainedAlgorithmicMedia"}


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32-le"])
def test_every_charset_of_the_standard_is_read(charset):
    packet = wrapped("<dc:format>Grüße</dc:format>").decode().encode(charset)
    assert xmp.properties(packet) == ({"format": "Grüße"}, "")


def test_padding_and_what_follows_it_are_ignored():
    packet = containers.xmp_packet({"dc:format": "a"}) + b" " * 4000 + b"\0\0\0"
    draft = Draft("image/jpeg", 1, "0")
    xmp.read(packet, draft)
    assert draft.warnings == []
    assert len(draft.metadata["xmp"]) < 1000


@pytest.mark.parametrize("start", ['<?xml version="1.0"?>', ""])
def test_entities_are_not_expanded(start):
    bomb = start + '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    values, problem = xmp.properties(bomb.encode() + wrapped("<dc:format>&b;</dc:format>"))
    assert values == {}
    assert "malformed" in problem


def test_external_entities_are_not_read():
    packet = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    values, problem = xmp.properties(packet + wrapped("<dc:format>&a;</dc:format>"))
    assert values == {}
    assert "document type" in problem


def test_depth_and_length_are_bounded():
    assert "nested deeper" in xmp.properties(b"<a>" * 5000 + b"</a>" * 5000)[1]
    many = wrapped("".join(f"<dc:n{i}>v</dc:n{i}>" for i in range(3000)))
    assert len(xmp.properties(many)[0]) == xmp.PROPERTIES


def test_what_was_read_before_the_fault_is_kept():
    values, problem = xmp.properties(wrapped("<dc:format>a</dc:format>")[:-20] + b"<<<")
    assert values == {"format": "a"}
    assert "malformed" in problem


def test_the_sliders_of_a_raw_converter_are_left_out():
    more = 'xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" crs:HasSettings="True" crs:Exposure="1"'
    packet = (
        RDF.format(more="") + f"<rdf:Description {more}><crs:Tint>3</crs:Tint></rdf:Description></rdf:RDF>"
    )
    assert xmp.properties(packet.encode())[0] == {"HasSettings": "True"}


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(raw):
    xmp.properties(raw)
    xmp.properties(b"<rdf:RDF " + raw)


def test_an_extension_whose_pieces_overlap_is_dropped():
    extension = xmp.Extension()
    for segment in containers.extended_xmp_segments(b"x" * 2000, piece=900):
        extension.add(segment[4 + len(b"http://ns.adobe.com/xmp/extension/\0") :])
    assert extension.packet("0" * 32) == b"x" * 2000
    extension.add(b"0" * 32 + (2000).to_bytes(4, "big") + (850).to_bytes(4, "big") + b"y" * 10)
    assert extension.packet("0" * 32) == b""
