"""A client that knows nothing of Muster but what the server's reflection tells it.

Only grpc and protobuf from Debian are used; message classes are built from the reflected
descriptors.
"""
import unittest

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from cluster import Cluster
from tiny import prepare_data


def reflection_messages():
    """The few fields of grpc.reflection.v1alpha we need, described by hand."""
    file = descriptor_pb2.FileDescriptorProto(name="reflection.proto", syntax="proto3",
                                              package="grpc.reflection.v1alpha")
    field = descriptor_pb2.FieldDescriptorProto

    def message(name, *fields):
        entry = file.message_type.add(name=name)
        for number, field_name, kind, label, type_name in fields:
            made = entry.field.add(name=field_name, number=number, type=kind, label=label)
            if type_name:
                made.type_name = type_name

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    prefix = ".grpc.reflection.v1alpha."
    message("Request", (4, "file_containing_symbol", field.TYPE_STRING, one, ""),
            (7, "list_services", field.TYPE_STRING, one, ""))
    message("Files", (1, "file_descriptor_proto", field.TYPE_BYTES, many, ""))
    message("Service", (1, "name", field.TYPE_STRING, one, ""))
    message("Services", (1, "service", field.TYPE_MESSAGE, many, prefix + "Service"))
    message("Response", (4, "files", field.TYPE_MESSAGE, one, prefix + "Files"),
            (6, "services", field.TYPE_MESSAGE, one, prefix + "Services"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return [factory.GetPrototype(pool.FindMessageTypeByName("grpc.reflection.v1alpha." + n))
            for n in ("Request", "Response")]


class ReflectedClient:
    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        request, response = reflection_messages()
        self.ask = lambda **what: next(iter(self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString)(iter([request(**what)]), timeout=10)))
        self.services = [s.name for s in self.ask(list_services="*").services.service]
        self.pool = descriptor_pool.DescriptorPool()
        self.factory = message_factory.MessageFactory(self.pool)
        added = set()
        for service in self.services:
            files = [descriptor_pb2.FileDescriptorProto.FromString(raw) for raw in
                     self.ask(file_containing_symbol=service).files.file_descriptor_proto]
            while files:  # dependencies first
                ready = [f for f in files if f.name in added or
                         all(d in added for d in f.dependency)]
                assert ready, [f.name for f in files]
                for file in ready:
                    files.remove(file)
                    if file.name not in added:
                        self.pool.Add(file)
                        added.add(file.name)

    def call(self, method, timeout=30, **fields):
        """`method` is package.Service/Method; a stream comes back as an iterator."""
        service, name = method.split("/")
        descriptor = self.pool.FindServiceByName(service).FindMethodByName(name)
        request = self.factory.GetPrototype(descriptor.input_type)(**fields)
        response = self.factory.GetPrototype(descriptor.output_type)
        streams = name.startswith("Watch")
        make = self.channel.unary_stream if streams else self.channel.unary_unary
        return make("/" + method, request_serializer=lambda m: m.SerializeToString(),
                    response_deserializer=response.FromString)(request, timeout=timeout)


class FromOutside(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=1, slots=2)
        cls.data = prepare_data(cls.cluster)
        cls.client = ReflectedClient(cls.cluster.address())

    @classmethod
    def tearDownClass(cls):
        cls.client.channel.close()
        left = cls.cluster.close()
        assert not left, left

    def test_submits_watches_to_the_end_and_reads_metrics(self):
        client = self.client
        self.assertIn("muster.v1.JobService", client.services)
        spec = dict(
            name="outside", mesh=[dict(name="data", size=2)], resources=dict(slots_per_rank=1),
            program=dict(command=["sh", "-c", "echo from outside"]),
            recovery=dict(attempts_without_progress=1))
        job = client.call("muster.v1.JobService/SubmitJob", request_id="r1", spec=spec).job
        again = client.call("muster.v1.JobService/SubmitJob", request_id="r1", spec=spec).job
        self.assertEqual(job.id, again.id)
        last = None
        for event in client.call("muster.v1.JobService/WatchJobs", job_id=job.id,
                                 from_revision=max(job.revision, 1) - 1):
            last = event
            if event.state in (5, 6, 7):
                break
        self.assertEqual(last.state, 5, last.text)  # JOB_STATE_SUCCEEDED
        metrics = client.call("muster.v1.ClusterService/GetMetrics").text
        self.assertIn("muster_jobs", metrics)
        self.assertIn("# TYPE", metrics)

    def test_health_answers(self):
        raw = self.client.channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10)
        self.assertEqual(raw, b"\x08\x01")  # HealthCheckResponse{status: SERVING}

    def test_errors_have_canonical_codes(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.call("muster.v1.JobService/GetJob", job_id=999)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.call("muster.v1.JobService/SubmitJob", spec=dict(name="x"))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
