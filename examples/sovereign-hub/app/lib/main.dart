import 'package:flutter/material.dart';
import 'package:livekit_client/livekit_client.dart';

// `flutter run --dart-define=HUB=… --dart-define=TOKEN=…`: what `lkhub env` and `lkhub token` print.
const hub = String.fromEnvironment('HUB');
const token = String.fromEnvironment('TOKEN');

void main() => runApp(const MaterialApp(home: CallPage()));

class CallPage extends StatefulWidget {
  const CallPage({super.key});

  @override
  State<CallPage> createState() => _CallPageState();
}

class _CallPageState extends State<CallPage> {
  final room = Room();
  String said = 'not in the call';

  Future<void> join() async {
    setState(() => said = 'joining');
    try {
      await room.connect(hub, token);
      await room.localParticipant?.setMicrophoneEnabled(true);
      setState(() => said = 'in the call');
    } catch (error) {
      setState(() => said = 'not in the call: $error');
    }
  }

  Future<void> leave() async {
    await room.disconnect();
    setState(() => said = 'not in the call');
  }

  @override
  void dispose() {
    room.dispose();
    super.dispose();
  }

  @override
  Widget build(BuildContext context) => Scaffold(
        appBar: AppBar(title: const Text('Sovereign hub')),
        // A room tells its listeners when participants come and go.
        body: ListenableBuilder(
          listenable: room,
          builder: (context, _) => ListView(
            children: [
              ListTile(title: Text(said)),
              for (final person in room.remoteParticipants.values)
                ListTile(leading: const Icon(Icons.person), title: Text(person.identity)),
            ],
          ),
        ),
        floatingActionButton: room.connectionState == ConnectionState.connected
            ? FloatingActionButton(onPressed: leave, child: const Icon(Icons.call_end))
            : FloatingActionButton(onPressed: join, child: const Icon(Icons.call)),
      );
}
