"""Names of the EXIF 2.32 and TIFF 6.0 tags that say something about a sample's origin."""

from __future__ import annotations

TIFF = {
    0x00FE: "SubfileType", 0x0100: "ImageWidth", 0x0101: "ImageLength", 0x0102: "BitsPerSample", 0x0103: "Compression",
    0x0106: "PhotometricInterpretation", 0x010D: "DocumentName", 0x010E: "ImageDescription", 0x010F: "Make",
    0x0110: "Model", 0x0112: "Orientation", 0x0115: "SamplesPerPixel", 0x0116: "RowsPerStrip", 0x011A: "XResolution",
    0x011B: "YResolution", 0x011C: "PlanarConfiguration", 0x0128: "ResolutionUnit", 0x0131: "Software",
    0x0132: "DateTime", 0x013B: "Artist", 0x013C: "HostComputer", 0x013D: "Predictor", 0x0201: "JPEGInterchangeFormat",
    0x0202: "JPEGInterchangeFormatLength", 0x0211: "YCbCrCoefficients", 0x0212: "YCbCrSubSampling",
    0x0213: "YCbCrPositioning", 0x0214: "ReferenceBlackWhite", 0x4746: "Rating", 0x8298: "Copyright",
    0x9C9B: "XPTitle", 0x9C9C: "XPComment", 0x9C9D: "XPAuthor", 0x9C9E: "XPKeywords", 0x9C9F: "XPSubject",
    0xC4A5: "PrintImageMatching", 0xC612: "DNGVersion", 0xC614: "UniqueCameraModel", 0xC6FC: "ProfileCopyright",
    0xC6F8: "ProfileName", 0xC6FE: "ProfileCreator",
}  # fmt: skip

EXIF = {
    0x829A: "ExposureTime", 0x829D: "FNumber", 0x8822: "ExposureProgram", 0x8824: "SpectralSensitivity",
    0x8827: "ISOSpeedRatings", 0x8830: "SensitivityType", 0x8831: "StandardOutputSensitivity",
    0x8832: "RecommendedExposureIndex", 0x9000: "ExifVersion", 0x9003: "DateTimeOriginal", 0x9004: "DateTimeDigitized",
    0x9010: "OffsetTime", 0x9011: "OffsetTimeOriginal", 0x9012: "OffsetTimeDigitized",
    0x9101: "ComponentsConfiguration", 0x9102: "CompressedBitsPerPixel", 0x9201: "ShutterSpeedValue",
    0x9202: "ApertureValue", 0x9203: "BrightnessValue", 0x9204: "ExposureBiasValue", 0x9205: "MaxApertureValue",
    0x9206: "SubjectDistance", 0x9207: "MeteringMode", 0x9208: "LightSource", 0x9209: "Flash", 0x920A: "FocalLength",
    0x9214: "SubjectArea", 0x927C: "MakerNote", 0x9286: "UserComment", 0x9290: "SubSecTime",
    0x9291: "SubSecTimeOriginal", 0x9292: "SubSecTimeDigitized", 0xA000: "FlashpixVersion", 0xA001: "ColorSpace",
    0xA002: "PixelXDimension", 0xA003: "PixelYDimension", 0xA004: "RelatedSoundFile", 0xA20B: "FlashEnergy",
    0xA20E: "FocalPlaneXResolution", 0xA20F: "FocalPlaneYResolution", 0xA210: "FocalPlaneResolutionUnit",
    0xA214: "SubjectLocation", 0xA215: "ExposureIndex", 0xA217: "SensingMethod", 0xA300: "FileSource",
    0xA301: "SceneType", 0xA302: "CFAPattern", 0xA401: "CustomRendered", 0xA402: "ExposureMode", 0xA403: "WhiteBalance",
    0xA404: "DigitalZoomRatio", 0xA405: "FocalLengthIn35mmFilm", 0xA406: "SceneCaptureType", 0xA407: "GainControl",
    0xA408: "Contrast", 0xA409: "Saturation", 0xA40A: "Sharpness", 0xA40C: "SubjectDistanceRange",
    0xA420: "ImageUniqueID", 0xA430: "CameraOwnerName", 0xA431: "BodySerialNumber", 0xA432: "LensSpecification",
    0xA433: "LensMake", 0xA434: "LensModel", 0xA435: "LensSerialNumber", 0xA436: "ImageTitle", 0xA437: "Photographer",
    0xA438: "ImageEditor", 0xA439: "CameraFirmware", 0xA43A: "RAWDevelopingSoftware", 0xA43B: "ImageEditingSoftware",
    0xA43C: "MetadataEditingSoftware", 0xA460: "CompositeImage", 0xA461: "SourceImageNumberOfCompositeImage",
}  # fmt: skip

GPS = {
    0: "GPSVersionID", 1: "GPSLatitudeRef", 2: "GPSLatitude", 3: "GPSLongitudeRef", 4: "GPSLongitude",
    5: "GPSAltitudeRef", 6: "GPSAltitude", 7: "GPSTimeStamp", 8: "GPSSatellites", 9: "GPSStatus", 10: "GPSMeasureMode",
    11: "GPSDOP", 12: "GPSSpeedRef", 13: "GPSSpeed", 14: "GPSTrackRef", 15: "GPSTrack", 16: "GPSImgDirectionRef",
    17: "GPSImgDirection", 18: "GPSMapDatum", 23: "GPSDestBearingRef", 24: "GPSDestBearing", 27: "GPSProcessingMethod",
    28: "GPSAreaInformation", 29: "GPSDateStamp", 30: "GPSDifferential", 31: "GPSHPositioningError",
}  # fmt: skip

INTEROP = {0x0001: "InteroperabilityIndex", 0x0002: "InteroperabilityVersion"}

# How maker notes begin; a note that begins with none of these is mostly a bare directory (Canon, early Casio)
MAKERS: tuple[tuple[bytes, str], ...] = (
    (b"Apple iOS", "Apple"), (b"Nikon\0", "Nikon"), (b"OLYMPUS\0", "Olympus"), (b"OLYMP\0", "Olympus"),
    (b"OM SYSTEM", "OM System"), (b"EPSON\0", "Epson"), (b"FUJIFILM", "Fujifilm"), (b"GENERALE", "GE"),
    (b"Panasonic\0", "Panasonic"), (b"LEICA", "Leica"), (b"SONY ", "Sony"), (b"PENTAX \0", "Pentax"), (b"AOC\0", "Pentax"),
    (b"SIGMA\0", "Sigma"), (b"FOVEON\0", "Sigma"), (b"KDK", "Kodak"), (b"QVC\0", "Casio"), (b"DCI\0", "Casio"),
    (b"RICOH", "Ricoh"), (b"Ricoh", "Ricoh"), (b"Rv", "Ricoh"), (b"SANYO\0", "Sanyo"), (b"MLT0", "Minolta"),
    (b"KC", "Kyocera"), (b"MOT\0", "Motorola"), (b"HDRP", "Google"), (b"JVC ", "JVC"), (b"Phase One", "Phase One"),
    (b"STMN", "Samsung"), (b"DJI", "DJI"), (b"[ae_dbg_info:", "DJI"), (b"GoPro", "GoPro"), (b"HUAWEI", "Huawei"),
    (b"XIAOMI", "Xiaomi"),
)  # fmt: skip
