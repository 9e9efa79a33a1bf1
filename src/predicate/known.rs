//! The predicate types with short names, and what their specifications require.

use super::shape::Shape::{
    self, Any, Digests, List, Map, Object, ObjectWithAny, Text, Time, Truth, Word,
};
use super::shape::{optional, required};
use super::{SLSA_PROVENANCE_V1, TEST_RESULT, VERIFICATION_SUMMARY};

/// A type with short names and a shape.
pub(super) struct Known {
    /// The short names, if any, of which each stands for the URI.
    pub(super) names: &'static [&'static str],
    /// The type.
    pub(super) uri: &'static str,
    /// What people call it.
    pub(super) title: &'static str,
    /// What its predicate must look like.
    pub(super) shape: Shape,
}

/// The types of [`cosign attest --type`](https://github.com/sigstore/cosign/blob/main/doc/cosign_attest.md),
/// and ours.
pub(super) static KNOWN: &[Known] = &[
    Known {
        names: &["custom"],
        uri: "https://cosign.sigstore.dev/attestation/v1",
        title: "cosign's custom predicate",
        shape: OBJECT,
    },
    Known {
        names: &["slsaprovenance", "slsaprovenance02"],
        uri: "https://slsa.dev/provenance/v0.2",
        title: "SLSA provenance v0.2",
        shape: SLSA_02_SHAPE,
    },
    Known {
        names: &["slsaprovenance1"],
        uri: SLSA_PROVENANCE_V1,
        title: "SLSA provenance v1",
        shape: SLSA_1_SHAPE,
    },
    Known {
        names: &["spdx", "spdxjson"],
        uri: "https://spdx.dev/Document",
        title: "SPDX in JSON",
        // Version 2 and, in JSON-LD, version 3.
        shape: ObjectWithAny(
            &["spdxVersion", "@context"],
            &[optional("spdxVersion", Text)],
        ),
    },
    Known {
        names: &["cyclonedx"],
        uri: "https://cyclonedx.org/bom",
        title: "CycloneDX in JSON",
        shape: Object(&[
            required("bomFormat", Word(&["CycloneDX"])),
            required("specVersion", Text),
            optional("components", List(&OBJECT)),
        ]),
    },
    Known {
        names: &["link"],
        uri: "https://in-toto.io/Link/v1",
        title: "an in-toto link",
        shape: LINK_SHAPE,
    },
    Known {
        names: &["vuln"],
        uri: "https://cosign.sigstore.dev/attestation/vuln/v1",
        title: "cosign's record of a vulnerability scan",
        shape: VULN_SHAPE,
    },
    Known {
        names: &["openvex"],
        uri: "https://openvex.dev/ns",
        title: "OpenVEX",
        shape: Object(&[
            required("@context", Text),
            required("statements", List(&OBJECT)),
            optional("timestamp", Time),
        ]),
    },
    Known {
        names: &["testresult"],
        uri: TEST_RESULT,
        title: "in-toto test results v0.1",
        shape: TEST_RESULT_SHAPE,
    },
    Known {
        names: &["vsa"],
        uri: VERIFICATION_SUMMARY,
        title: "SLSA verification summary v1",
        shape: VSA_SHAPE,
    },
];

/// Any object: what the predicate of every type is.
pub(super) const OBJECT: Shape = Object(&[]);

/// [in-toto, ResourceDescriptor](https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/resource_descriptor.md).
const RESOURCE: Shape = ObjectWithAny(
    &["uri", "digest", "content"],
    &[
        optional("name", Text),
        optional("uri", Text),
        optional("digest", Digests),
        optional("content", Text),
        optional("downloadLocation", Text),
        optional("mediaType", Text),
        optional("annotations", OBJECT),
    ],
);

/// [SLSA provenance v1](https://slsa.dev/spec/v1.1/provenance#schema).
const SLSA_1_SHAPE: Shape = Object(&[
    required(
        "buildDefinition",
        Object(&[
            required("buildType", Text),
            required("externalParameters", OBJECT),
            optional("internalParameters", OBJECT),
            optional("resolvedDependencies", List(&RESOURCE)),
        ]),
    ),
    required(
        "runDetails",
        Object(&[
            required(
                "builder",
                Object(&[
                    required("id", Text),
                    optional("version", Map(&Text)),
                    optional("builderDependencies", List(&RESOURCE)),
                ]),
            ),
            optional(
                "metadata",
                Object(&[
                    optional("invocationId", Text),
                    optional("startedOn", Time),
                    optional("finishedOn", Time),
                ]),
            ),
            optional("byproducts", List(&RESOURCE)),
        ]),
    ),
]);

/// What SLSA provenance v0.2 says of a material, and of where its configuration came from.
const SLSA_02_MATERIAL: Shape = Object(&[
    optional("uri", Text),
    optional("digest", Digests),
    optional("entryPoint", Text),
]);

/// [SLSA provenance v0.2](https://slsa.dev/spec/v0.2/provenance#schema).
const SLSA_02_SHAPE: Shape = Object(&[
    required("builder", Object(&[required("id", Text)])),
    required("buildType", Text),
    optional(
        "invocation",
        Object(&[optional("configSource", SLSA_02_MATERIAL)]),
    ),
    optional(
        "metadata",
        Object(&[
            optional("buildInvocationId", Text),
            optional("buildStartedOn", Time),
            optional("buildFinishedOn", Time),
            optional("completeness", Map(&Truth)),
            optional("reproducible", Truth),
        ]),
    ),
    optional("materials", List(&SLSA_02_MATERIAL)),
]);

/// [in-toto 1.0, section 4.4](https://github.com/in-toto/specification/blob/v1.0/in-toto-spec.md);
/// cosign wants every field.
const LINK_SHAPE: Shape = Object(&[
    required("_type", Word(&["link"])),
    required("name", Text),
    required("materials", Map(&Digests)),
    required("products", Map(&Digests)),
    required("byproducts", OBJECT),
    required("command", List(&Text)),
    required("environment", OBJECT),
]);

/// [cosign's record of a vulnerability scan](https://github.com/sigstore/cosign/blob/main/specs/COSIGN_VULN_ATTESTATION_SPEC.md).
const VULN_SHAPE: Shape = Object(&[
    required(
        "invocation",
        Object(&[
            optional("parameters", Any),
            optional("uri", Text),
            optional("event_id", Text),
            optional("builder.id", Text),
        ]),
    ),
    required(
        "scanner",
        Object(&[
            optional("uri", Text),
            optional("version", Text),
            optional(
                "db",
                Object(&[optional("uri", Text), optional("version", Text)]),
            ),
            required("result", Any),
        ]),
    ),
    required(
        "metadata",
        Object(&[
            required("scanStartedOn", Time),
            required("scanFinishedOn", Time),
        ]),
    ),
]);

/// [in-toto test result v0.1](https://github.com/in-toto/attestation/blob/v1.1.0/spec/predicates/test-result.md).
const TEST_RESULT_SHAPE: Shape = Object(&[
    required("result", Word(&["PASSED", "WARNED", "FAILED"])),
    required("configuration", List(&RESOURCE)),
    optional("url", Text),
    optional("passedTests", List(&Text)),
    optional("warnedTests", List(&Text)),
    optional("failedTests", List(&Text)),
]);

/// [SLSA verification summary v1](https://slsa.dev/spec/v1.1/verification_summary#schema).
const VSA_SHAPE: Shape = Object(&[
    required(
        "verifier",
        Object(&[required("id", Text), optional("version", Map(&Text))]),
    ),
    optional("timeVerified", Time),
    required("resourceUri", Text),
    required(
        "policy",
        Object(&[required("uri", Text), optional("digest", Digests)]),
    ),
    optional("inputAttestations", List(&RESOURCE)),
    required("verificationResult", Word(&["PASSED", "FAILED"])),
    required("verifiedLevels", List(&Text)),
    optional("dependencyLevels", OBJECT),
    optional("slsaVersion", Text),
]);
